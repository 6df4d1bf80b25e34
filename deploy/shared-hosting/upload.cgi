#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The API as a CGI program; a copy of it named page.cgi is the upload page. Programs, settings and data lie outside
# the web site, in the folder that the next line names.
base=/home/USER/dex-upload
case $0 in
*page.cgi) export DEX_UI=1 ;;
esac
export DEX_APPCONF="$base/dex-upload.conf"
# Libraries that the host lacks.
export LD_LIBRARY_PATH="$base/libraries"
PATH=$base/usr/bin:$PATH exec dex-upload
