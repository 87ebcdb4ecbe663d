"""Bytes of an image to the pixels that a network sees; the same for training, online and batch prediction.

    headers    what the first bytes say before anything is decoded: format, size, orientation
    jpeg_end   where the pixels of a JPEG end
    depth      samples of more than 8 bits, palettes and transparency, as RGB
    decode     upright RGB from bytes, within limits
    resize     bilinear resizing with antialiasing
    letterbox  the image in the network's frame
    appearance  what an image looks like, in sixteen bytes
    size_processes  sizes of images, found in processes without secrets
    size_main  such a process

Pillow, simplejpeg and NumPy only: no store, no model, nothing of a request.
"""
