package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"moat/internal/service/restapi"
)

// readQuotas reads NAME=N: quotas of API Gateway. Several are separated by spaces, so that MOAT_QUOTA can hold
// them, too.
func readQuotas(values []string) (map[string]int, error) {
	out := map[string]int{}
	for _, text := range strings.Fields(strings.Join(values, " ")) {
		name, number, _ := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if _, known := restapi.Quotas()[name]; !known {
			return nil, usagef("--quota %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(restapi.Quotas())), ", "))
		}
		if err != nil || n < 1 {
			return nil, usagef("--quota %q is not NAME=N", text)
		}
		out[name] = n
	}
	return out, nil
}
