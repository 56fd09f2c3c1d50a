"""Looking at shards before a week of GPU time goes into them: a contact sheet, counts, histograms, warnings."""
