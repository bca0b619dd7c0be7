"""The report of one run: while it goes on, with other runs laid over it, its command given again, and in a browser without a window
(chromium-headless-shell) what its script does. Without a browser that part is left out by name."""

import functools
import html
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

BOREALIS = pathlib.Path(os.environ["BOREALIS"])
BROWSER = next((path for name in ("chromium-headless-shell", "chromium", "google-chrome") if (path := shutil.which(name))), None)
# The window of a whole browser is not narrower than 500 pixels.
WIDTHS = (1400, 420) if BROWSER and BROWSER.endswith("headless-shell") else (1400,)
USAGE, FILE = 1, 3
ODD_NAME = '<b>"a" &amp; b'
STEPS = 130  # enough for a smooth line
TRAIN = ["train", "--num-layers", "1", "--hidden-size", "32", "--num-attention-heads", "2", "--num-key-value-heads", "1", "--ffn-hidden-size",
         "48", "--seq-length", "16", "--mock-data", "--vocab-size", "64", "--dtype", "fp32", "--train-iters", str(STEPS), "--eval-interval", "10",
         "--eval-iters", "1", "--no-save", "--no-progress", "--threads", "1"]
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-1500:] for detail in details)}")


def environment(folder):
    return {"PATH": f"{BOREALIS.parent}:{os.environ['PATH']}", "HOME": str(folder), "OMP_WAIT_POLICY": "passive"}


def run(folder, *arguments, code=0, **variables):
    result = subprocess.run([BOREALIS, *map(str, arguments)], cwd=folder, text=True, capture_output=True, timeout=300,
                            env=environment(folder) | variables)
    check(f"exit code {code}", result.returncode == code, result)
    return result


def losses(run_dir):
    return [json.loads(line)["lm_loss"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def the_command_repeats_the_run(folder):
    run(folder, *TRAIN, "--data-path", "a name with 'quotes' & $HOME", "--seed", "7", "--report-interval", "0", GRAD_ACC_STEPS="2", DATA_PARENT="it's")
    first = next(folder.glob("logs/*/*/summary.json")).parent
    command = json.loads((first / "summary.json").read_text())["command"]
    check("command", "GRAD_ACC_STEPS=2" in command and command in html.unescape((first / "report.html").read_text()), command)
    result = subprocess.run(["bash", "-c", command], cwd="/", text=True, capture_output=True, timeout=300, env=environment(folder))
    check("repeated", result.returncode == 0, command, result)
    runs = {path.parent for path in folder.glob("logs/*/*/summary.json")}
    check("repeated", len(runs) == 2 and all(losses(path) == losses(first) for path in runs), runs)
    check("same command", {json.loads((path / "summary.json").read_text())["command"] for path in runs} == {command}, command)


def a_run_that_goes_on(folder):
    """Reports appear while it trains, whole each time; they change no bit of its losses; a report that cannot be written is one warning."""
    run(folder, *TRAIN, "--run-dir", "plain", "--report-interval", "0")
    check("none", "report so far" not in (folder / "plain/output.log").read_text(), "a report with an interval of 0")
    seen = 0
    process = subprocess.Popen([BOREALIS, *TRAIN, "--run-dir", "live", "--report-interval", "0.001"], cwd=folder, env=environment(folder),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    page = folder / "live/report.html"
    while process.poll() is None:
        text = page.read_text() if page.exists() else ""
        if text:
            check("whole", text.endswith("</html>\n"), text[-200:])
            seen += "This run goes on" in text
        time.sleep(0.005)
    check("live", process.returncode == 0 and seen > 0, process.returncode, seen)
    check("same bits", losses(folder / "live") == losses(folder / "plain"), "losses differ")
    check("at its end", "This run goes on" not in page.read_text(), "the last report is not the run's own")
    check("leftovers", not list((folder / "live").glob("*.partial.*")), list((folder / "live").iterdir()))

    (folder / "blocked/report.html/in the way").mkdir(parents=True)
    log = run(folder, *TRAIN, "--run-dir", "blocked", "--report-interval", "0.001", code=FILE).stdout
    check("one warning", log.count("no report of the run so far") == 1 and len(losses(folder / "blocked")) == STEPS, log)


def runs_laid_over(folder):
    shutil.copytree(folder / "plain", folder / ODD_NAME)
    result = run(folder, "report", "live", "--with", "plain", ODD_NAME)
    check("with", "live/report.html" in result.stdout, result)
    text = (folder / "live/report.html").read_text()
    check("names are text", "<b>" not in text and "&lt;b&gt;&quot;a&quot; &amp;amp; b" in text and r"\u003cb\u003e\"a\" \u0026amp; b" in text, "names")
    for name, code, words, arguments in (("many", USAGE, "11 runs are more than the 10", ["live", "--with", *["plain"] * 10]),
                                         ("twice", USAGE, "named twice", ["live", "--with", "plain", "plain"]),
                                         ("several", USAGE, "--with", ["live", "plain", "--with", "blocked"]),
                                         ("output", USAGE, "--with", ["live", "--output", "x", "--with", "plain"]),
                                         ("no run", FILE, "nowhere", ["live", "--with", "nowhere"])):
        result = run(folder, "report", *arguments, code=code)
        check(name, result.stderr.count("\n") == 1 and words in result.stderr, result.stderr)


# Runs behind the page's own script, and leaves what it found in the page.
PROBE = r"""
const found = {};
try {
  const svg = [...document.querySelectorAll('svg[data-plot="loss"]')].find(one => one.getBoundingClientRect().width > 0);
  const box = svg.getBoundingClientRect(), frame = svg.dataset.frame.split(" ").map(Number);
  const scale = box.width / svg.viewBox.baseVal.width;
  const readout = svg.parentElement.querySelector(".readout");
  const at = share => box.left + (frame[0] + share * frame[2]) * scale;
  const pointer = (kind, share, type = "mouse") => svg.dispatchEvent(new PointerEvent(kind, { clientX: at(share), clientY: box.top + 90,
      button: 0, pointerId: 1, pointerType: type, bubbles: true }));
  const press = key => svg.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const rows = () => [...readout.children].map(row => row.textContent);
  found.inner_width = innerWidth;
  found.page_width = document.documentElement.scrollWidth;
  found.background = getComputedStyle(document.body).backgroundColor;
  found.hint = !document.querySelector(".scripted").hidden;
  found.hidden_first = readout.hidden;
  pointer("pointermove", 0.5); found.middle = rows();
  found.within = (() => { const b = readout.getBoundingClientRect(); return b.left >= 0 && b.right <= innerWidth && b.width > 40; })();
  pointer("pointermove", 1); found.end = rows();
  const inside = readout.getBoundingClientRect(); found.end_within = inside.left >= 0 && inside.right <= innerWidth;
  pointer("pointerdown", 0.25); pointer("pointermove", 0.5); pointer("pointerup", 0.5);
  const ticks = () => [...svg.querySelectorAll(".tick")].filter(one => one.getBoundingClientRect().width > 0).map(one => one.textContent);
  found.zoomed = svg.classList.contains("zoomed"); found.zoom_ticks = ticks();
  pointer("pointermove", 0); found.zoom_low = rows()[0];
  pointer("pointermove", 1); found.zoom_high = rows()[0];
  const inner = svg.querySelector("svg"); found.clipped = getComputedStyle(inner).overflow;
  svg.dispatchEvent(new MouseEvent("dblclick", { bubbles: true })); found.reset = !svg.classList.contains("zoomed") && !svg.querySelector("svg");
  pointer("pointerleave", 0.5); found.left = readout.hidden;
  svg.focus(); found.focus = document.activeElement === svg;
  press("Home"); found.home = rows()[0];
  press("ArrowRight"); found.next = rows()[0];
  press("+"); found.key_zoom = svg.classList.contains("zoomed");
  press("End"); found.key_end = rows()[0];
  press("0"); press("Escape"); found.escape = readout.hidden && !svg.classList.contains("zoomed");
  pointer("pointerdown", 0.5, "touch"); pointer("pointerup", 0.5, "touch"); pointer("pointerleave", 0.5, "touch"); found.tap = rows();
  document.getElementById("loss-by-1").click();
  found.chosen = [...document.querySelectorAll(".choice > .panel")].map(panel => panel.getBoundingClientRect().height > 0);
  found.bold = document.querySelectorAll("b").length;
  const overlap = [];
  for (const plot of document.querySelectorAll("svg.plot")) {
    const texts = [...plot.querySelectorAll("text")].map(one => [one, one.getBoundingClientRect()]).filter(([, b]) => b.width > 0);
    texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
      if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom) overlap.push(`${one.textContent} / ${other.textContent}`);
    }));
  }
  found.overlap = overlap;
} catch (error) { found.error = String(error) + error.stack; }
const result = document.createElement("pre"); result.id = "probe"; result.textContent = JSON.stringify(found); document.body.append(result);
"""


def probe(folder, page, width, dark=False):
    probed = folder / "live/probed.html"
    probed.write_text(page.replace("</body>", f"<script>{PROBE}</script></body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},2000", f"--user-data-dir={folder}/browser", "--dump-dom"]
    if dark:
        command.append("--blink-settings=preferredColorScheme=0")
    result = subprocess.run([*command, probed.as_uri()], text=True, capture_output=True, timeout=120, env={**os.environ, "HOME": str(folder)})
    match = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout, re.DOTALL)
    check("the probe ran", match, result.stdout[-500:], result.stderr[-500:])
    return json.loads(html.unescape(match[1])) if match else {}


def what_the_script_does(folder):
    page = (folder / "live/report.html").read_text()
    value = functools.partial(re.match, r"iteration (\d+)$")
    for width, dark in itertools.product(WIDTHS, (False, True)):
        found = probe(folder, page, width, dark)
        name = f"{width} {'dark' if dark else 'light'}"
        if not found or "error" in found:
            check(name, False, found)
            continue
        check(f"{name}: width", found["inner_width"] == width and found["page_width"] <= width, found["inner_width"], found["page_width"])
        check(f"{name}: colours", found["background"] == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)"), found["background"])
        check(f"{name}: hint", found["hint"] and found["hidden_first"], found)
        middle = int(value(found["middle"][0])[1])
        check(f"{name}: middle", abs(middle - STEPS / 2) <= 1 and len(found["middle"]) == 5 and found["within"], found["middle"], found["within"])
        check(f"{name}: labels", found["middle"][3].startswith(f"{ODD_NAME}: ") and found["bold"] == 0, found["middle"])
        check(f"{name}: end", found["end"][0] == f"iteration {STEPS}" and found["end_within"], found["end"])
        low, high = int(value(found["zoom_low"])[1]), int(value(found["zoom_high"])[1])
        check(f"{name}: zoom", found["zoomed"] and abs(low - STEPS / 4) <= 2 and abs(high - STEPS / 2) <= 2 and found["clipped"] == "hidden", found)
        check(f"{name}: ticks", len(found["zoom_ticks"]) >= 5, found["zoom_ticks"])
        check(f"{name}: reset", found["reset"] and found["left"], found)
        check(f"{name}: keys", found["focus"] and found["home"] == "iteration 1" and found["next"] == "iteration 2" and found["key_zoom"] and
              found["key_end"] == f"iteration {STEPS}" and found["escape"], found)
        check(f"{name}: touch", found["tap"] == found["middle"], found["tap"])
        check(f"{name}: choice", found["chosen"] == [False, True, False], found["chosen"])
        check(f"{name}: no overlap", found["overlap"] == [], found["overlap"])


with tempfile.TemporaryDirectory(prefix="borealis-run-report-") as name:
    place = pathlib.Path(name)
    for part in (the_command_repeats_the_run, a_run_that_goes_on, runs_laid_over):
        part(place)
    if BROWSER:
        what_the_script_does(place)
    else:
        print("skipped: what the script does (no chromium-headless-shell)")
    if BROWSER and len(WIDTHS) < 2:
        print("skipped: a window of 420 pixels (no chromium-headless-shell)")
for failure in failures:
    print("FAILED", failure)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
