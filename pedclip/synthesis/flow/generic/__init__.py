"""Captioned pictures without anything medical, drawn or cut from sample photographs: what the generic control knows."""
