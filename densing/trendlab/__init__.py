"""Statistics of the trend: clusters, the panel without a ladder, forecasts held against the past, ratios."""
