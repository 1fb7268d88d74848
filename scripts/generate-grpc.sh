#!/bin/sh
# Makes service/src/generated/delivery.{js,d.ts} from protocol/delivery.proto, when it is newer.
set -eu
cd "$(dirname "$0")/.."
out=service/src/generated
copy() { mkdir -p service/dist/generated && cp "$out/delivery.js" "$out/delivery.d.ts" service/dist/generated/; }
if [ "$out/delivery.d.ts" -nt protocol/delivery.proto ] && [ "$out/delivery.d.ts" -nt scripts/generate-grpc.sh ]; then copy; exit 0; fi
mkdir -p "$out"
node_modules/.bin/pbjs -t static-module -w es6 --es6 --no-verify --no-convert --no-create --no-delimited --no-service --force-number \
  -o "$out/delivery.js" protocol/delivery.proto
sed -i 's#import \* as $protobuf from "protobufjs/minimal"#import $protobuf from "protobufjs/minimal.js"#' "$out/delivery.js"
node_modules/.bin/pbts -o "$out/delivery.d.ts" "$out/delivery.js"
copy
