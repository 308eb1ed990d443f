#!/bin/sh
# Makes the certificates of this folder anew, by an authority whose key is thrown away.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
touch "$work/index"
cat > "$work/conf" <<CONF
[ca]
default_ca = own
[own]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = policy
copy_extensions = copy
[policy]
commonName = supplied
CONF

key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

# NAME EXTENSION YEAR KEY OPTIONS: a certificate from 2020 to the first day of the year
certify() {
  out=$1.pem until=${3}0101235959Z
  openssl req -new -key "$4" -subj "/CN=$1" -addext "$2" -out "$work/request"
  shift 4
  openssl ca -batch -notext -config "$work/conf" -in "$work/request" -keyfile "$work/authority.key" \
    -startdate 20200101000000Z -enddate "$until" -out "$out" "$@"
}

key "$work/authority.key"
key server.key
certify authority 'basicConstraints=critical,CA:TRUE' 2120 "$work/authority.key" -selfsign
certify here 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2120 server.key -cert authority.pem
certify elsewhere 'subjectAltName=DNS:mail.example.com' 2120 server.key -cert authority.pem
certify expired 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2020 server.key -cert authority.pem
