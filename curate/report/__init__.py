"""`curate report`: a dataset as one page and one JSON file.

`facts` counts, `funnel`, `spread` and `examples` shape what was counted into the JSON file, `page`
and `charts` draw that file, `thumbs` brings the pictures.
"""
