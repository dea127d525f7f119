print("words:    is ready")
NAMASTE = "Namaste"
