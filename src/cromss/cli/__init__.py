"""The programs: `cromss train`, `prepare`, `predict`, `report`, `export`, and what their command lines share."""
