"""`curate report`: a dataset as one page and one JSON file.

`facts` counts; `funnel`, `spread` and `examples` make the JSON file of it. `sections` and `galleries`
shape that file for the page, `charts` and `sankey` for its charts; `page` draws it.
"""
