"""Engines that answer the questions of a lake: DuckDB in this process, and Spark with executors of
their own. Both read the same files of sql, of which register/<engine>.sql alone differs."""

import json
import pathlib
import shutil
import time

SQL = pathlib.Path(__file__).resolve().parent.parent
QUESTIONS = sorted((SQL / "questions").glob("*.sql"))


def statements(text):
    """Returns the statements of a script, without comments."""
    lines = (line.split("--")[0] for line in text.splitlines())
    return [statement for part in "\n".join(lines).split(";") if (statement := part.strip())]


def script(name, root):
    """Returns the statements that register the lake's tables for an engine, and those of the views."""
    register = (SQL / "register" / f"{name}.sql").read_text().replace("ROOT", str(root))
    return statements(register) + statements((SQL / "views.sql").read_text())


def bytes_read():
    """Returns the bytes that this process has read from files, cached ones included."""
    lines = pathlib.Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


class Answer:
    """Answer to a question: columns and rows, seconds, and bytes read from files."""

    def __init__(self, columns, rows, seconds, read):
        self.columns, self.rows, self.seconds, self.read = columns, rows, seconds, read

    def records(self):
        return [dict(zip(self.columns, row)) for row in self.rows]


class DuckDB:
    name = "duckdb"

    def __init__(self, root, scratch):
        import duckdb

        self.connection = duckdb.connect(
            config={"threads": 2, "memory_limit": "3GB", "temp_directory": str(scratch)}
        )
        begun, read = time.monotonic(), bytes_read()
        for statement in script(self.name, root):
            self.connection.execute(statement)
        self.opened = Answer([], [], time.monotonic() - begun, bytes_read() - read)

    def ask(self, question):
        (query,) = statements(question.read_text())
        begun, read = time.monotonic(), bytes_read()
        result = self.connection.execute(query)
        rows = result.fetchall()
        columns = [column[0] for column in result.description]
        return Answer(columns, rows, time.monotonic() - begun, bytes_read() - read)

    def close(self):
        self.connection.close()


class Spark:
    name = "spark"

    def __init__(self, root, scratch):
        from pyspark.sql import SparkSession

        self.log = pathlib.Path(scratch).resolve() / "spark-events"
        # An interrupted session has left its log.
        shutil.rmtree(self.log, ignore_errors=True)
        self.log.mkdir(parents=True)
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
            "spark.local.dir": str(scratch),
            "spark.sql.shuffle.partitions": "8",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
            "spark.eventLog.dir": self.log.as_uri(),
        }
        # Two executors of one core and 1 GiB, each a process of its own.
        builder = SparkSession.builder.master("local-cluster[2,1,1024]")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")
        begun = time.monotonic()
        self.session.sparkContext.setJobDescription("open")
        for statement in script(self.name, root):
            self.session.sql(statement)
        self.opened = Answer([], [], time.monotonic() - begun, None)

    def ask(self, question):
        (query,) = statements(question.read_text())
        begun = time.monotonic()
        self.session.sparkContext.setJobDescription(question.stem)
        result = self.session.sql(query)
        rows = [tuple(row) for row in result.collect()]
        return Answer(result.columns, rows, time.monotonic() - begun, None)

    def close(self):
        """Ends the session. Returns the bytes of files that the tasks of each question read, and
        the executors on which they ran."""
        self.session.stop()
        (log,) = self.log.iterdir()
        return self.totals(log)

    @staticmethod
    def totals(log):
        questions, read, executors = {}, {}, set()
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerJobStart":
                question = event["Properties"].get("spark.job.description")
                questions.update((stage, question) for stage in event["Stage IDs"])
            elif event["Event"] == "SparkListenerTaskEnd":
                question = questions[event["Stage ID"]]
                executors.add(event["Task Info"]["Executor ID"])
                metrics = event.get("Task Metrics") or {}
                size = metrics.get("Input Metrics", {}).get("Bytes Read", 0)
                read[question] = read.get(question, 0) + size
        return read, executors
