# SPDX-License-Identifier: Apache-2.0
"""The web servers in front of the responder: configuration files and command lines."""

import grp
import os
import pwd
import shutil

from . import proc

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
APACHE_MODULES = "/usr/lib/apache2/modules"


def program(name):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if not found:
        raise FileNotFoundError(f"{name} is missing (deploy/install-packages.sh run test)")
    return found


def worker_user():
    """Whom the web server's workers run as; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def fill(template, values):
    with open(template) as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def shipped(path, replaced):
    """A file of deploy/ with paths and ports of ours. Each of ${replaced} must be in it."""
    with open(f"{ROOT}/deploy/{path}") as f:
        text = f.read()
    for old, new in replaced.items():
        assert old in text, f"{path} has no {old!r}"
        text = text.replace(old, new)
    return text


def copy_assets(stack):
    """The page's scripts and styles, as far as they are built, to where its web server has them."""
    folder = f"{stack.web}/www/dex/assets" if stack.server == "cgi" else f"{stack.web}/html/assets"
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(f"{ROOT}/build/ui"):
        shutil.copytree(f"{ROOT}/build/ui", folder, dirs_exist_ok=True)


def nginx(stack):
    """The shipped configuration, in the directory of the socket."""
    web = stack.web
    os.makedirs(f"{web}/tmp", exist_ok=True)
    user = worker_user()
    write(
        f"{web}/nginx.conf",
        fill(
            f"{ROOT}/deploy/nginx/nginx.conf.in",
            {
                "USER_LINE": f"user {user.pw_name};" if user else "",
                "WORKERS": 2,
                "NOFILE": 8192,
                "CONNECTIONS": 4096,
                "ERROR_LOG": "../log/nginx.log",
                "ACCESS_LOG": "off",
            },
        ),
    )
    share = {"/usr/share/dex-upload/nginx/": ""}
    for name in ("http.conf", "fastcgi.conf", "front-error.conf", "tls.conf"):
        write(f"{web}/{name}", shipped(f"nginx/{name}", {}))
    write(f"{web}/api.conf", shipped("nginx/api.conf", share))
    ui = {"/usr/share/dex-upload/ui/": "html/assets/"}
    write(f"{web}/page.conf", shipped("nginx/page.conf", {**share, **ui}))
    copy_assets(stack)
    # Where all are killed at once, none is to be left out afterwards, as one alone never is.
    groups = [f"server unix:{stack.socket(n)} max_fails=0;" for n in range(stack.groups)]
    site = {
        **share,
        "server unix:/run/dex-upload/upload.sock;": " ".join(groups),
        "listen 8080": f"listen 127.0.0.1:{stack.port}",
        "listen 8081": f"listen 127.0.0.1:{stack.ui_port}",
    }
    write(f"{web}/dex-upload.conf", shipped("nginx/dex-upload.conf", site))
    return [program("nginx"), "-p", "./", "-c", "nginx.conf", "-e", "../log/nginx.log"]


def _settings_file(stack, path):
    """For programs that the web server starts, and that know of nothing else."""
    write(path, "".join(f"{k}='{v}'\n" for k, v in stack.settings.items()))


def _give_to_workers(folder):
    user = worker_user()
    for at, _, files in os.walk(folder) if user else ():
        for name in [at] + [os.path.join(at, f) for f in files]:
            os.chown(name, user.pw_uid, user.pw_gid)


def _apache_site(stack):
    """mod_proxy_fcgi and mod_fcgid: two virtual hosts."""
    web = stack.web
    copy_assets(stack)
    for name in ("api.conf", "page.conf"):
        ui = {"/usr/share/dex-upload/ui": f"{web}/html/assets"} if name == "page.conf" else {}
        write(f"{web}/{name}", shipped(f"apache/{name}", ui))
    replaced = {
        "Listen 8080": f"Listen 127.0.0.1:{stack.port}",
        "Listen 8081": f"Listen 127.0.0.1:{stack.ui_port}",
        "*:8080": f"*:{stack.port}",
        "*:8081": f"*:{stack.ui_port}",
        "/usr/share/dex-upload/apache/": f"{web}/",
    }
    if stack.server == "apache":
        replaced["/run/dex-upload/upload.sock"] = f"{web}/dex.sock"
        return shipped("apache/dex-upload.conf", replaced)
    _settings_file(stack, f"{stack.dir}/dex.conf")
    shutil.copy(stack.binary("dex-upload"), f"{stack.dir}/dex-upload")
    _give_to_workers(stack.dir)
    replaced["/usr/bin/dex-upload"] = f"{stack.dir}/dex-upload"
    replaced["/etc/dex-upload/dex-upload.conf"] = f"{stack.dir}/dex.conf"
    env = "".join(f'FcgidInitialEnv {k} "{v}"\n' for k, v in stack.sanitizer_env().items())
    return shipped("apache/dex-upload-fcgid.conf", replaced) + env


# Of the API and of the page where the programs stand in a folder of a web site.
CGI_PREFIX = "/dex/upload.cgi"
CGI_PAGE_PREFIX = "/dex/page.cgi"


def _apache_account(stack):
    """What a customer has on shared hosting: a folder of the web site, and a home beside it."""
    web, base = stack.web, f"{stack.dir}/home"
    folder = f"{web}/www/dex"
    for path in (folder, f"{base}/usr/bin"):
        os.makedirs(path)
    shutil.copy(stack.binary("dex-upload"), f"{base}/usr/bin/dex-upload")
    _settings_file(stack, f"{base}/dex-upload.conf")
    copy_assets(stack)
    write(f"{folder}/.htaccess", shipped("shared-hosting/.htaccess", {}))
    for name in ("upload.cgi", "page.cgi"):
        program = shipped("shared-hosting/upload.cgi", {"/home/USER/dex-upload": base})
        write(f"{folder}/{name}", program)
        os.chmod(f"{folder}/{name}", 0o755)
    _give_to_workers(stack.dir)
    env = "".join(f'SetEnv {k} "{v}"\n' for k, v in stack.sanitizer_env().items())
    return f"""Listen 127.0.0.1:{stack.port}
DocumentRoot "{web}/www"
<Directory "{web}/www">
	AllowOverride AuthConfig FileInfo Options
	Require all granted
</Directory>
{env}"""


def apache(stack):
    web = stack.web
    os.makedirs(f"{web}/log", exist_ok=True)
    user = worker_user()
    values = {
        "DIR": web,
        "PORT": stack.port,
        "USER_LINES": f"User {user.pw_name}\nGroup #{user.pw_gid}" if user else "",
        "MODULES": APACHE_MODULES,
        "SITE": _apache_account(stack) if stack.server == "cgi" else _apache_site(stack),
    }
    write(f"{web}/apache.conf", fill(f"{HERE}/apache.conf.in", values))
    return [program("apache2"), "-DFOREGROUND", "-d", web, "-f", f"{web}/apache.conf"]


def lighttpd(stack):
    """The shipped file after what Debian's lighttpd.conf has of importance here."""
    web = stack.web
    user = worker_user()
    replaced = {
        "0.0.0.0:8080": f"127.0.0.1:{stack.port}",
        "0.0.0.0:8081": f"127.0.0.1:{stack.ui_port}",
        "/run/dex-upload/upload.sock": f"{web}/dex.sock",
        "/usr/share/dex-upload/ui/": f"{web}/html/assets/",
    }
    os.makedirs(f"{web}/tmp", exist_ok=True)
    copy_assets(stack)
    _give_to_workers(f"{web}/tmp")
    own = f"""server.modules = ( "mod_indexfile", "mod_access", "mod_alias" )
server.document-root = "{web}/tmp"
server.upload-dirs = ( "{web}/tmp" )
server.bind = "127.0.0.1"
server.port = {proc.free_port()}
server.feature-flags += ( "server.h2proto" => "enable", "server.h2c" => "enable" )
mimetype.assign = ( ".css" => "text/css", ".js" => "application/javascript", ".svg" => "image/svg+xml" )
"""
    if user:
        own += f'server.username = "{user.pw_name}"\nserver.groupname = "{grp.getgrgid(user.pw_gid).gr_name}"\n'
    write(f"{web}/lighttpd.conf", own + shipped("lighttpd/50-dex-upload.conf", replaced) +
          'server.modules += ( "mod_staticfile" )\n')
    return [program("lighttpd"), "-D", "-f", f"{web}/lighttpd.conf"]


# How each web server is started, and whether it starts the program itself.
START = {"nginx": nginx, "apache": apache, "fcgid": apache, "cgi": apache, "lighttpd": lighttpd}
STARTS_PROGRAMS = ("fcgid", "cgi")
