"""Models of tables: scikit-learn, MLflow pyfunc."""
