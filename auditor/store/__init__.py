"""Everything that is kept outside the archive, on SQLite or on PostgreSQL. The only room that speaks SQL.

sql       SqlStore: all of ports.Store
queries   SqlQueries, open_queries: reads alone, for dashboard, reports and HTTP
tables    the schema; names of tables and columns are public
"""
