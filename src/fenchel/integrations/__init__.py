"""Thin bridges to other libraries, one file each: import the one you need."""
