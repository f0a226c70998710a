package parameter

import (
	"fmt"
	"strings"
	"time"

	"moat/internal/store"
)

// Version is one version of a parameter. Of Value and Sealed one is set: Sealed
// for the type SecureString.
type Version struct {
	Account, Region, Name string
	Number                int64
	Type, DataType, Tier  string
	Value                 string
	Sealed                []byte
	KeyID                 string
	Description           string
	AllowedPattern        string
	Modified              time.Time
	ModifiedBy            string
}

// Parameter is what a name stands for: its newest version, and what does not
// belong to any version.
type Parameter struct {
	Version
	Oldest int64            // oldest version that is kept
	Labels map[string]int64 // label -> version
	Tags   map[string]string
}

type tables struct {
	parameters *store.Table[Parameter]
	versions   *store.Table[Version]
}

func newTables() tables {
	return tables{
		parameters: store.NewTable(store.Schema[Parameter]{
			Name: "parameters", Key: []string{"account", "region", "name"},
			KeyOf: func(p *Parameter) []string { return []string{p.Account, p.Region, p.Name} },
		}),
		versions: store.NewTable(store.Schema[Version]{
			Name: "parameter_versions", Key: []string{"account", "region", "name", "version"},
			KeyOf: func(v *Version) []string { return []string{v.Account, v.Region, v.Name, number(v.Number)} },
		}),
	}
}

// number writes a version so that text order is number order.
func number(n int64) string { return fmt.Sprintf("%019d", n) }

// arn is the parameter's ARN: the slash before the name is never doubled.
func (v *Version) arn() string { return arnOf(v.Region, v.Account, v.Name) }

func arnOf(region, account, name string) string {
	return "arn:aws:ssm:" + region + ":" + account + ":parameter/" + strings.TrimPrefix(name, "/")
}
