package restapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// maxImportedKeys is how many keys one file may hold. AWS bounds the file by its 6 MB payload.
const maxImportedKeys = 10000

// keyRow is one line of a file of API keys (API Gateway Developer Guide, "API key file format").
type keyRow struct {
	name, value, description string
	enabled                  bool
	plans                    []string
}

// ImportApiKeys makes the keys of a file, or writes over those that have the same value, and puts
// them into the plans that the file names.
func (s *Service) ImportApiKeys(ctx context.Context, in *apigatewayapi.ImportApiKeysRequest) (*apigatewayapi.ApiKeyIds, error) {
	rows, warnings, err := readKeys(in.Body)
	if err != nil {
		return nil, err
	}
	fresh := make([]key, len(rows))
	for i, r := range rows {
		if fresh[i], err = s.importedKey(s.place(ctx), r); err != nil {
			return nil, err
		}
	}
	out := &apigatewayapi.ApiKeyIds{}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		out.Ids, out.Warnings = []string{}, slices.Clone(warnings)
		told := make(map[string]bool, len(rows))
		for i, r := range rows {
			id, warning, err := s.importKey(tx, fresh[i], r)
			if err != nil {
				return err
			}
			if warning != "" {
				out.Warnings = append(out.Warnings, warning)
			}
			if !told[id] {
				told[id], out.Ids = true, append(out.Ids, id)
			}
		}
		if wire.Value(in.FailOnWarnings) && len(out.Warnings) > 0 {
			return badRequest("Warnings found during import: %s", strings.Join(out.Warnings, "; "))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, s.publishPlans(ctx)
}

// readKeys reads a file of keys: a header line that names the columns in any order, then a line for each key.
func readKeys(body []byte) (rows []keyRow, warnings []string, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	r.TrimLeadingSpace, r.FieldsPerRecord = true, -1
	header, err := r.Read()
	if err != nil {
		return nil, nil, badRequest("Invalid API Key file: it has no header line")
	}
	column := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := column[name]; twice {
			return nil, nil, badRequest("Invalid API Key file: the column %s is there twice", name)
		}
		column[name] = i
	}
	for _, name := range []string{"name", "key"} {
		if _, ok := column[name]; !ok {
			return nil, nil, badRequest("Invalid API Key file: the column %s is missing", name)
		}
	}
	lines, err := r.ReadAll()
	if err != nil {
		return nil, nil, badRequest("Invalid API Key file: it is not CSV")
	}
	if len(lines) > maxImportedKeys {
		return nil, nil, badRequest("Invalid API Key file: at most %d keys are imported at once", maxImportedKeys)
	}
	seen := map[string]bool{}
	for i, fields := range lines {
		row, err := readKey(column, fields, i+2)
		if err != nil {
			return nil, nil, err
		}
		if seen[row.value] {
			warnings = append(warnings, fmt.Sprintf("line %d has the key of a line before it and writes over it", i+2))
		}
		seen[row.value] = true
		rows = append(rows, row)
	}
	return rows, warnings, nil
}

func readKey(column map[string]int, fields []string, line int) (keyRow, error) {
	field := func(name string) string {
		if i, ok := column[name]; ok && i < len(fields) {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	row := keyRow{name: field("name"), value: field("key"), description: field("description"), enabled: true}
	switch strings.ToLower(field("enabled")) {
	case "", "true":
	case "false":
		row.enabled = false
	default:
		return row, badRequest("Invalid API Key file: line %d is enabled '%s', which is neither true nor false", line, field("enabled"))
	}
	plans := field("usageplanids")
	if i, last := column["usageplanids"], len(fields)-1; plans != "" && strings.HasPrefix(plans, "'") {
		if i < last && len(fields) > len(column) { // single quotes are none of CSV's: the list was cut at its commas
			plans = strings.Join(fields[i:i+len(fields)-len(column)+1], ",")
		}
		plans = strings.Trim(strings.TrimSpace(plans), "'")
	}
	for id := range strings.SplitSeq(plans, ",") {
		if id = strings.TrimSpace(id); id != "" && !slices.Contains(row.plans, id) {
			row.plans = append(row.plans, id)
		}
	}
	return row, nil
}

// importedKey is the record of a line, as if it were new.
func (s *Service) importedKey(p place, r keyRow) (key, error) {
	id, err := s.id(longID)
	if err != nil {
		return key{}, err
	}
	now := s.now()
	k := apigatewayapi.ApiKey{
		Id: &id, Name: &r.name, Enabled: &r.enabled, CreatedDate: &now, LastUpdatedDate: &now, StageKeys: []string{},
	}
	if r.description != "" {
		k.Description = &r.description
	}
	if err := checkKey(&k, r.value); err != nil {
		return key{}, err
	}
	sealed, err := s.db.Seal(sealKey, []byte(r.value))
	return key{Account: p.account, Region: p.region, ID: id, Key: k, Value: sealed, Hash: hashKey(r.value)}, err
}

// importKey writes a line's key and puts it into its plans; a plan that does not exist is a warning.
func (s *Service) importKey(tx *store.Tx, k key, r keyRow) (id, warning string, err error) {
	p := place{k.Account, k.Region}
	same, err := s.tables.keys.List(tx, store.Query{Index: "value", Values: []string{k.Hash}})
	switch {
	case err != nil:
		return "", "", err
	case len(same) > 0 && (same[0].Account != p.account || same[0].Region != p.region):
		return "", "", conflict("API Key already exists")
	case len(same) > 0:
		old := same[0]
		k.ID, k.Key.Id, k.Key.CreatedDate, k.Key.Tags, k.Key.CustomerId, k.Key.StageKeys = old.ID, &old.ID, old.Key.CreatedDate, old.Key.Tags, old.Key.CustomerId, old.Key.StageKeys
		k.Plans = old.Plans
	}
	if len(same) == 0 {
		if err := s.roomForKey(tx, p); err != nil {
			return "", "", err
		}
	}
	for _, planID := range r.plans {
		_, err := s.plan(tx, p, planID)
		var missing *apigatewayapi.NotFoundException
		switch {
		case isA(err, &missing):
			warning = fmt.Sprintf("the key %s names the usage plan %s, which does not exist", k.ID, planID)
		case err != nil:
			return "", "", err
		case !slices.Contains(k.Plans, planID):
			k.Plans = append(slices.Clone(k.Plans), planID)
		}
	}
	return k.ID, warning, s.putKey(tx, k)
}
