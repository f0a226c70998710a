// Command bootstrap is a function that answers a constant. It speaks the Lambda Runtime
// API by the standard library alone, so that what it costs is what Go costs.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	for {
		if err := serve(client, api); err != nil {
			log.Fatal(err)
		}
	}
}

// serve takes one event and answers it.
func serve(client *http.Client, api string) error {
	next, err := client.Get(api + "next")
	if err != nil {
		return err
	}
	defer next.Body.Close()
	if _, err := io.Copy(io.Discard, next.Body); err != nil {
		return err
	}
	const answer = `{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"ok\":true}"}`
	taken, err := client.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", strings.NewReader(answer))
	if err != nil {
		return err
	}
	defer taken.Body.Close()
	_, err = io.Copy(io.Discard, taken.Body)
	return err
}
