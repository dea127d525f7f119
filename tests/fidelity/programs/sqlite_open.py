"""An uncommitted transaction in a connection that nobody closes is rolled back, and its journal removed."""
import sqlite3

connection = sqlite3.connect("data.db")
connection.execute("create table numbers (n)")
connection.execute("insert into numbers values (1)")
connection.commit()
connection.execute("insert into numbers values (2)")
print(connection.in_transaction, list(connection.execute("select * from numbers")))
