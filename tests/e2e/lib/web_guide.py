# SPDX-License-Identifier: Apache-2.0
"""deploy/web-servers.md followed word for word, in a machine with nothing but its own network: as root for nginx, Apache
and lighttpd, as a customer for shared hosting."""

import re

from . import guide, proc
from .machine import Machine

PAGE = "web-servers.md"
CUSTOMER = "customer"
# What the host has done: a site whose programs run as the customer, here because all of Apache does.
HOST = f"""useradd --create-home {CUSTOMER}
chmod 711 /home/{CUSTOMER}
install -d -o {CUSTOMER} -g {CUSTOMER} /home/{CUSTOMER}/www
echo '127.0.0.1 www.example.org' >> /etc/hosts
sed -i 's/^export APACHE_RUN_\\(USER\\|GROUP\\)=.*/export APACHE_RUN_\\1={CUSTOMER}/' /etc/apache2/envvars
cat > /etc/apache2/sites-available/www.conf <<'END'
<VirtualHost *:80>
	ServerName www.example.org
	DocumentRoot /home/{CUSTOMER}/www
	<Directory /home/{CUSTOMER}/www>
		AllowOverride AuthConfig FileInfo Options
		Require all granted
	</Directory>
</VirtualHost>
END
a2dissite -q 000-default
a2ensite -q www
a2enmod -q cgid headers rewrite
systemctl restart apache2
cp /mnt/first.deb /home/{CUSTOMER}/dex-upload_1_all.deb
"""


def follow(given):
    """${given}: a directory with the package, first.deb."""
    m = Machine(given, alone=True)
    try:
        shared_hosting(m)
        with_root(m)
    finally:
        m.stop()


def typed(m, script, user="root"):
    """As if in a shell, in the home folder."""
    home = "/root" if user == "root" else f"/home/{user}"
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]
    return m.run(
        *([] if user == "root" else become), "env", f"HOME={home}", "DEBIAN_FRONTEND=noninteractive",
        "bash", "-c", f"cd {home} && set -e\n{script}",
    )  # fmt: skip


def delivered(m, folder):
    find = f"find {folder} -type f -size 1000000c"
    return len(m.sh(find, check=False).stdout.split())


def first_upload(m, how, folder, user="root", deliver=lambda: None):
    """The commands of ${how}, then those of the first upload; it is delivered below ${folder}."""
    before = delivered(m, folder)
    r = typed(m, how + guide.commands(PAGE, "First upload"), user)
    assert '"status":"Complete"' in r.stdout.replace(" ", ""), r
    deliver()
    proc.until(lambda: delivered(m, folder) == before + 1, "the first upload is delivered", 20, 0.2)


def shared_hosting(m):
    m.sh("systemctl stop nginx apache2 lighttpd 2>/dev/null || true")
    m.sh(HOST)
    home = f"/home/{CUSTOMER}"
    (line,) = re.findall(r"^\* \* \* \* \* (.*)", guide.section(PAGE, "Shared hosting"), re.MULTILINE)

    def deliver():
        typed(m, line, CUSTOMER)

    how = guide.commands(PAGE, "Shared hosting")
    first_upload(m, how, f"{home}/dex-upload/delivered", CUSTOMER, deliver)
    page = "http://www.example.org/upload/page.cgi"
    for path in ("/", "/assets/ui.js"):
        m.run("curl", "-fsS", "-o", "/dev/null", page + path)
    # Others of the machine see neither settings nor data, and the web server shows neither.
    for path in (f"{home}/dex-upload", f"{home}/dex-upload/dex-upload.conf"):
        r = m.run("setpriv", "--reuid=nobody", "--clear-groups", "ls", path, check=False)
        assert r.returncode != 0, r
    for path in (".htaccess", "upload.cgi/metrics"):
        get = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", "127.0.0.1"]
        r = m.run(*get, f"http://www.example.org/upload/{path}")
        assert r.stdout == ("403" if path == ".htaccess" else "200"), (path, r)
    m.sh("a2dissite -q www; sed -i 's/=customer$/=www-data/' /etc/apache2/envvars; systemctl stop apache2")


def with_root(m):
    folder = "/var/lib/dex-upload/delivered"
    # The system that it is a view of may have been about to install something.
    m.sh("""dpkg --configure -a
cp /mnt/first.deb ~root/dex-upload_1_all.deb
rm -f /usr/sbin/policy-rc.d""")
    first_upload(m, guide.commands(PAGE, "nginx"), folder)
    m.run("systemctl", "stop", "nginx")
    address = "api=http://localhost:8080/files/\n"
    other = "systemctl disable"
    proxied, _, fcgid = guide.commands(PAGE, "Apache").partition(other)
    first_upload(m, proxied + address, folder)
    m.run("systemctl", "stop", "apache2")
    first_upload(m, guide.commands(PAGE, "lighttpd") + address, folder)
    m.run("systemctl", "stop", "lighttpd")
    # Its last words are about cron: the sweep as that user.
    sweep = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "dex-deliver"]
    config = ["--config", "/etc/dex-upload/dex-upload.conf"]
    first_upload(m, other + fcgid + address, folder, deliver=lambda: m.run(*sweep, *config))
