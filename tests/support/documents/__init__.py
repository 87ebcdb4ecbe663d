"""What is read from the documents and made for them.

code_blocks             the code blocks of the documents
console_pictures        takes pictures of the console's pages
contact_sheet_picture   takes the README's picture of the contact sheet
"""
