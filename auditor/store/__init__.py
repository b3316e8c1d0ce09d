"""Everything that is kept outside the archive: in memory, on SQLite or on PostgreSQL. The only room that speaks SQL.

memory    MemoryStore: one process, nothing kept; tests and simulations
sql       SqlStore: all of ports.Store over SQLite or PostgreSQL
queries   SqlQueries, open_queries: reads alone, for dashboard, reports and HTTP
tables    the schema; names of tables and columns are public
"""
