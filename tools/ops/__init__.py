"""The ops of the program language, one function each; every Tool found in these modules is built in."""
