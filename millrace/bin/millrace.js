#!/usr/bin/env node
// Plain JavaScript that the oldest Node can parse: it says which Node is needed before anything else is loaded.
'use strict';
var major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  process.stderr.write(
    'error: Millrace needs Node 24 or newer; this is Node ' +
      process.versions.node +
      ' (' +
      process.execPath +
      ')\n',
  );
  process.exit(2);
}
import('../dist/cli/main.js').then(function (cli) {
  return cli.main(process.argv.slice(2));
});
