# SPDX-License-Identifier: Apache-2.0
"""The web servers in front of the responder: configuration files and command lines."""

import os
import pwd
import shutil

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


def _copy_assets(stack):
    if os.path.isdir(f"{ROOT}/build/ui"):
        shutil.copytree(f"{ROOT}/build/ui", f"{stack.web}/html/assets", dirs_exist_ok=True)


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
    _copy_assets(stack)
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


def apache(stack, cgi):
    web = stack.web
    for name in ("log", "empty"):
        os.makedirs(f"{web}/{name}", exist_ok=True)
    _copy_assets(stack)
    user = worker_user()
    user_lines = f"User {user.pw_name}\nGroup #{user.pw_gid}" if user else ""
    cgi_env = ""
    if cgi:
        # Settings come through one variable and a dotenv file: all that CGI hands on easily.
        write(
            f"{stack.dir}/dex.conf",
            "".join(f"{k}='{v}'\n" for k, v in stack.settings.items()),
        )
        shutil.copy(stack.binary("dex-upload"), f"{stack.dir}/dex-upload")
        env = "".join(f'SetEnv {k} "{v}"\n' for k, v in stack.sanitizer_env().items())
        cgi_env = f'SetEnv DEX_APPCONF "{stack.dir}/dex.conf"\n{env}'
        api_lines = page_lines = f'ScriptAlias "{stack.prefix}" "{stack.dir}/dex-upload"'
        if user:
            for at, dirs, files in os.walk(stack.dir):
                for name in [at] + [os.path.join(at, f) for f in files]:
                    os.chown(name, user.pw_uid, user.pw_gid)
    else:
        api_lines = (
            "ProxyFCGIBackendType GENERIC\n\t"
            f'ProxyPass "/" "unix:{web}/dex.sock|fcgi://localhost/" enablereuse=off'
        )
        page_lines = f'ProxyPass "/assets/" "!"\n\t{api_lines}'
    values = {
        "DIR": web,
        "PORT": stack.port,
        "UI_PORT": stack.ui_port,
        "USER_LINES": user_lines,
        "MODULES": APACHE_MODULES,
        "PREFIX": stack.prefix,
        "CGI_ENV": cgi_env,
        "API_LINES": api_lines,
        "PAGE_LINES": page_lines,
    }
    write(f"{web}/apache.conf", fill(f"{HERE}/apache.conf.in", values))
    return [program("apache2"), "-DFOREGROUND", "-d", web, "-f", f"{web}/apache.conf"]
