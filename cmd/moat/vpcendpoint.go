package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/server"
)

var (
	vpcEndpointPattern = lazyregexp.New(`^vpce-[0-9a-z]{1,32}$`)
	vpcPattern         = lazyregexp.New(`^vpc-[0-9a-z]{1,32}$`)
)

// readVPCEndpoints reads VPCE-ID=host:port or VPCE-ID=host:port,VPC-ID. Several are separated by
// spaces, so that MOAT_VPC_ENDPOINT can hold them, too.
func readVPCEndpoints(values []string) ([]server.VPCEndpoint, error) {
	var out []server.VPCEndpoint
	for _, text := range strings.Fields(strings.Join(values, " ")) {
		id, rest, _ := strings.Cut(text, "=")
		address, vpc, _ := strings.Cut(rest, ",")
		if _, _, err := net.SplitHostPort(address); err != nil || !vpcEndpointPattern.MatchString(id) || vpc != "" && !vpcPattern.MatchString(vpc) {
			return nil, usagef("--vpc-endpoint %q is not VPCE-ID=host:port[,VPC-ID], such as vpce-0a1b2c3d=127.0.0.1:9001,vpc-4e5f6a7b", text)
		}
		if slices.ContainsFunc(out, func(e server.VPCEndpoint) bool { return e.ID == id }) {
			return nil, usagef("--vpc-endpoint names %s twice", id)
		}
		out = append(out, server.VPCEndpoint{ID: id, VPC: vpc, Listen: address})
	}
	return out, nil
}

// printEndpoints says where the VPC endpoints listen.
func printEndpoints(w io.Writer, endpoints map[string]string) {
	for _, id := range slices.Sorted(maps.Keys(endpoints)) {
		fmt.Fprintf(w, "  %s at %s\n", id, endpoints[id])
	}
}
