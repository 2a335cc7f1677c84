"""What a report is drawn with: HTML elements, charts, pictures and the style of the page."""
