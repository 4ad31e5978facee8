"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
const heading = document.createElement("h1");
heading.textContent = report.header.title;
document.getElementById("main").append(heading);
