-- The tables of a lake for DuckDB. ROOT is the lake: a folder, or a bucket such as s3://fleet.
--
--     sed "s|ROOT|$PWD/lake|" sql/register/duckdb.sql
--
-- A lake without snapshots --frames has no tables frames and metrics: leave out their lines.
SET TIME ZONE 'UTC';
CREATE OR REPLACE TEMPORARY VIEW lake_snapshots AS SELECT * FROM read_parquet('ROOT/snapshots/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
CREATE OR REPLACE TEMPORARY VIEW lake_processes AS SELECT * FROM read_parquet('ROOT/processes/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
CREATE OR REPLACE TEMPORARY VIEW lake_mappings AS SELECT * FROM read_parquet('ROOT/mappings/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
CREATE OR REPLACE TEMPORARY VIEW lake_regions AS SELECT * FROM read_parquet('ROOT/regions/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
CREATE OR REPLACE TEMPORARY VIEW lake_frames AS SELECT * FROM read_parquet('ROOT/frames/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
CREATE OR REPLACE TEMPORARY VIEW lake_metrics AS SELECT * FROM read_parquet('ROOT/metrics/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true);
