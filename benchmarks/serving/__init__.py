"""The service.

access              what access control adds to a call
batch_results       the summary, pages, filters and an order of a large batch prediction's results
editor_page         the console's label editor with many boxes: opening, drawing, dragging, the next image
evaluation          an evaluation at new and at known thresholds
images_page         the console's page of images: its start, frames, jumps, memory
metrics             what metrics cost: a call, an image, a scrape
online              latency and rate of the API servers
pictures            images that are sent, and their pictures
prediction_process  what it costs that Predict decodes in a process of its own
results_of_many     the page of results of a job of a million images
results_page        the console's page of results: its start, a step of its slider
startup             start of the service, first and later jobs
"""
