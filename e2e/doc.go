// Package e2e holds the end-to-end tests: real clients against the real binary.
//
// Nothing in here knows Moat's packages. A test starts `moat` as a process, speaks to it
// as its users do (AWS's SDKs and command line, amazon-cognito-identity-js, aws4,
// claudia, curl, plain HTTP) and looks at bytes, exit codes and what survives a restart.
// Each thing that is let in has the nearest thing that is refused beside it.
//
// Run it by ./run, which installs the JavaScript clients first. MOAT_BIN names the binary;
// it is ../bin/moat otherwise.
package e2e
