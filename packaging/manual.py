"""Pages of the manual, made of what the programs themselves say."""

import re
import subprocess


def ask(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}).stdout


def roff(text):
    """`text` so that groff shows it as it is; `x` in bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return "\\&" + text if text.startswith((".", "'")) else text


def item(head, text):
    return f".TP\n{head}\n{roff(text) or chr(92) + '&'}\n"


def parts(text):
    """What CLI11 prints as help: the words above, and for each part ("Options")
    its rows as (name, meaning)."""
    above, found, rows = [], {}, None
    for line in text.split("\n"):
        if match := re.fullmatch(r"([A-Z][\w ]*):", line):
            rows = found.setdefault(match[1], [])
        elif rows is None:
            above.append(line)
        elif match := re.match(r"  (\S.*?)(?:  +(.*))?$", line) if line[:3].strip() else None:
            rows.append([match[1], match[2] or ""])
        elif line.strip():
            rows[-1][1] += " " + line.strip()
    return above, found


def head(name, section, date, version, what, synopsis):
    return (f'.TH {name} {section} "{date}" "kyuu {version}"\n.SH NAME\n{roff(name)} \\- {roff(what)}\n'
            f".SH SYNOPSIS\n{synopsis}\n")


def options(rows):
    return "".join(item(f"\\fB{roff(name)}\\fR", meaning) for name, meaning in rows)


def kyuu(program, version, date):
    """kyuu(1)."""
    _, found = parts(ask(program, "--help"))
    page = head("kyuu", 1, date, version, "WebRTC peer and toolbox on the command line",
                "\\fBkyuu\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...")
    page += (".SH DESCRIPTION\nResults go to standard output, the log to standard error.\n"
             ".SH OPTIONS\n" + options(found["Options"]) + ".SH COMMANDS\n")
    for name, meaning in found["Subcommands"]:  # "connect, chat" has two names.
        _, of_command = parts(ask(program, name.split(",")[0], "--help"))
        page += f".SS kyuu {roff(name)}\n{roff(meaning)}.\n"
        for part in ("Positionals", "Options"):
            page += options(row for row in of_command.get(part, []) if "--help" not in row[0])
    return page + (".SH EXIT STATUS\n0 for success, 1 for a failure with its reason, 2 for wrong use, 5 if \\fBdoctor\\fR has found a failure.\n"
                   ".SH ENVIRONMENT\n" + item("\\fBKYUU_TURN_PASSWORD\\fR", "Password of a TURN server.") +
                   ".SH SEE ALSO\n.BR kyuud (8)\n")


def kyuud(program, version, date):
    """kyuud(8)."""
    above, found = parts(ask(program, "--help"))
    page = head("kyuud", 8, date, version, "server of page, signaling, STUN and TURN for WebRTC",
                "\\fBkyuud\\fR [\\fIOPTION\\fR]...\n.br\n\\fBkyuud\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...")
    commands = [re.match(r"(kyuud [a-z].*?)  +(.*)", line) for line in above]
    page += ".SH DESCRIPTION\n" + "\n".join(
        roff(line) for line, command in zip(above, commands)
        if line and not command and not line.startswith("Usage:")) + "\n"
    page += ".SH COMMANDS\n" + "".join(item(f"\\fB{roff(c[1])}\\fR", c[2]) for c in commands if c)
    page += (".SH OPTIONS\n" + options(found["Options"]) + ".SH SIGNALS\n"
             "SIGHUP reads the settings again; SIGTERM ends it, after a drain if there is a drain\\-timeout; "
             "SIGINT ends it at once; SIGUSR1 logs a line of status.\n"
             ".SH FILES\n" + item("\\fI/etc/kyuud/kyuud.toml\\fR", "Settings of the service.") +
             ".SH SEE ALSO\n.BR kyuu (1),\n.BR kyuud.toml (5),\n.BR systemctl (1)\n")
    return page


def kyuud_toml(program, version, date):
    """kyuud.toml(5)."""
    page = head("kyuud.toml", 5, date, version, "settings of kyuud", "\\fI/etc/kyuud/kyuud.toml\\fR")
    page += (".SH DESCRIPTION\nA file in TOML 1.0. A flag of\n.BR kyuud (8)\noverrides a variable, which "
             "overrides this file. What changes by reload is taken over by \\fBsystemctl reload kyuud\\fR, "
             "the rest by a restart. \\fBkyuud check\\-config\\fR finds what is wrong.\n.SH SETTINGS\n")
    names = []
    for line in ask(program, "config", "doc").split("\n"):
        if line.startswith("### "):
            page += f".SS {roff(line[4:].replace('`', ''))}\n"
        elif line.startswith("| `"):
            cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            row = dict(zip(names, cells))
            by = f" Changed by {row['changed by']}." if "changed by" in row else ""
            page += item(f"{roff(row['key'])} = \\fI{roff(row['value'])}\\fR",
                         f"{row['meaning'].rstrip('.')}. Unless set: {row['unless set']}.{by}")
        elif line.startswith("| key"):
            names = [cell.strip() for cell in line.split("|")[1:-1]]
        elif line and not line.startswith("|---"):
            page += roff(line) + "\n"
    return page + ".SH SEE ALSO\n.BR kyuud (8)\n"
