"""Reading texts, captions, questions and pages: what the vision-language sources share."""
