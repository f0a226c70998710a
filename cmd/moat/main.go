// Command moat is the whole of Moat: the server for development and for real, and the
// commands that talk to it.
package main

import (
	"os"

	"moat/internal/sandbox"
)

func main() {
	sandbox.RunShim(os.Args) // returns unless this process is to become a function
	os.Exit(execute(os.Args[1:], &app{name: os.Args[0], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}
