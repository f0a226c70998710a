package main

import (
	"net"
	"strings"
)

// readLinks reads NAME=host:port,host:port: the targets of a load balancer's name. Several names
// are separated by spaces, so that MOAT_VPC_LINK can hold them, too.
func readLinks(values []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, v := range values {
		for _, text := range strings.Fields(v) {
			name, targets, ok := strings.Cut(text, "=")
			if !ok || name == "" || targets == "" || strings.ContainsAny(name, "/:") {
				return nil, usagef("--vpc-link %q is not NAME=host:port,...", text)
			}
			if out[name] != nil {
				return nil, usagef("--vpc-link names %s twice", name)
			}
			for target := range strings.SplitSeq(targets, ",") {
				host, port, err := net.SplitHostPort(target)
				if err != nil || host == "" || port == "" {
					return nil, usagef("--vpc-link: %q is not host:port", target)
				}
				out[name] = append(out[name], target)
			}
		}
	}
	return out, nil
}
