"""The filters of `curate filter`: each measures rows and says which it would remove."""
