-- The tables of a lake for Spark. ROOT is the lake: a folder, or a bucket such as s3a://fleet.
--
--     sed "s|ROOT|$PWD/lake|" sql/register/spark.sql
--
-- A lake without snapshots --frames has no tables frames and metrics: leave out their lines.
SET TIME ZONE 'UTC';
-- Dates and hosts are text, also if all hosts have numbers for names.
SET spark.sql.sources.partitionColumnTypeInference.enabled = false;
CREATE OR REPLACE TEMPORARY VIEW lake_snapshots USING parquet OPTIONS (path 'ROOT/snapshots', mergeSchema true);
CREATE OR REPLACE TEMPORARY VIEW lake_processes USING parquet OPTIONS (path 'ROOT/processes', mergeSchema true);
CREATE OR REPLACE TEMPORARY VIEW lake_mappings USING parquet OPTIONS (path 'ROOT/mappings', mergeSchema true);
CREATE OR REPLACE TEMPORARY VIEW lake_regions USING parquet OPTIONS (path 'ROOT/regions', mergeSchema true);
CREATE OR REPLACE TEMPORARY VIEW lake_frames USING parquet OPTIONS (path 'ROOT/frames', mergeSchema true);
CREATE OR REPLACE TEMPORARY VIEW lake_metrics USING parquet OPTIONS (path 'ROOT/metrics', mergeSchema true);
