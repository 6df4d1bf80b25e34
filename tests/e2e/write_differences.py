#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the table of deploy/web-servers.md anew, from what the web servers of this machine do."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import differences  # noqa: E402
from lib.stack import Stack  # noqa: E402


def main():
    columns = {}
    for server in differences.SERVERS:
        stack = Stack(server=server)
        try:
            columns[server] = differences.column(stack)
        finally:
            stack.stop()
    before, _, after = differences.page()
    with open(differences.PAGE, "w") as f:
        f.write(before + differences.table(columns) + after)


if __name__ == "__main__":
    main()
