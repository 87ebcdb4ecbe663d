"""Images, and labels for them.

corpus             image files of every kind, valid and damaged, each with its outcome
drawn_images       small images drawn from a seed, and the CSV rows that describe them
huffman            a plain reader of baseline JPEG that counts blocks
labelled_folders   labelled images in the forms of COCO, Pascal VOC and YOLO
"""
