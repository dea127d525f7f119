print("the module does not compile")
import broken_syntax
