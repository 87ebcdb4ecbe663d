"""One module per revision, oldest first; what has been released is never changed."""
