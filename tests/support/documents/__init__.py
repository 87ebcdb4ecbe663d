"""What is read from the documents and made for them.

code_blocks             the code blocks of the documents
contact_sheet_picture   takes the README's picture of the contact sheet
"""
