"""How likeness is found: of texts, of pictures, of whole samples. The commands stand above."""
