"""The press: from the chapters of the book to the package, the notebooks, the site and the PDF."""
