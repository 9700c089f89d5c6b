"""Runs beside each other as one HTML page: `python -m cromss.report runs=FOLDER out=report/`."""

from cromss.report.page.write import check_page_folder, is_page_folder, write_page

__all__ = ["check_page_folder", "is_page_folder", "write_page"]
