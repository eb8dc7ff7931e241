"""What care records of a life: visits, codes, measurements, drugs, and the OMOP tables of it all."""
