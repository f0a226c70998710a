package userpool

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// Columns of an import file that are no attributes.
const (
	columnMFA      = "cognito:mfa_enabled"
	columnUsername = "cognito:username"
)

// rowResult is what became of one line, in the words of AWS's log.
type rowResult struct{ kind, text string }

const (
	rowSucceeded = "SUCCEEDED"
	rowSkipped   = "SKIPPED"
	rowFailed    = "FAILED"
)

// splitRow splits a line into its fields. There are no quotes: a backslash keeps a comma
// within its field (developer guide, "Formatting the CSV file").
func splitRow(line string) []string {
	var out []string
	var field strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == ',':
			field.WriteByte(',')
			i++
		case line[i] == ',':
			out = append(out, strings.TrimSpace(field.String()))
			field.Reset()
		default:
			field.WriteByte(line[i])
		}
	}
	return append(out, strings.TrimSpace(field.String()))
}

// columns reads the first line of a file, which must name each column of the pool once.
func (p *Pool) columns(line string) ([]string, bool) {
	got := splitRow(line)
	a, b := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(p.csvHeader()))
	return got, slices.Equal(a, b)
}

// importRow makes a user of a line. A line that makes none has a result that says why;
// err is trouble of our own, which undoes the transaction.
func (s *Service) importRow(tx *store.Tx, p *Pool, columns []string, line string) (rowResult, error) {
	u, why, err := s.importedUser(p, columns, line)
	if why != "" || err != nil {
		return rowResult{rowFailed, why}, err
	}
	err = s.insertUser(tx, p, &u, false)
	switch {
	case err == nil:
		return rowResult{rowSucceeded, "The import succeeded."}, nil
	case is(err, usernameExists) && (len(p.UsernameAttributes) > 0 || err.Error() == "User already exists"):
		return rowResult{rowSkipped, "The user already exists."}, nil
	case is(err, usernameExists):
		return rowResult{rowFailed, err.Error()}, nil
	}
	return rowResult{}, err
}

// importedUser makes the record of a user without a password: he has to set one by a code
// that goes to his verified address. why says what is wrong with the line.
func (s *Service) importedUser(p *Pool, columns []string, line string) (u User, why string, err error) {
	fields := splitRow(line)
	if len(fields) != len(columns) {
		return u, "The number of fields is not that of the header.", nil
	}
	values := map[string]string{}
	for i, name := range columns {
		if fields[i] != "" {
			values[name] = fields[i]
		}
	}
	name, mfa := values[columnUsername], strings.ToLower(values[columnMFA])
	delete(values, columnUsername)
	delete(values, columnMFA)
	if name == "" || len([]rune(name)) > 128 || strings.ContainsFunc(name, unicode.IsSpace) || strings.ContainsFunc(name, unicode.IsControl) {
		return u, "The field cognito:username is missing or not a username.", nil
	}
	if why := p.normalise(values); why != "" {
		return u, why, nil
	}
	if why := p.mfaFault(mfa); why != "" {
		return u, why, nil
	}
	u, err = s.newUser(p, name, values)
	if err == nil {
		err = p.checkNew(u.Attributes, true)
	}
	if err != nil {
		return u, oneLine(err), onlyOurs(err)
	}
	if !slices.ContainsFunc(p.Settings.AutoVerified, u.verified) {
		return u, "The User Record does not set any of the auto verified attributes to true. (Example: email_verified to true).", nil
	}
	for _, name := range []string{loginEmail, loginPhone} {
		if u.verified(name) && u.Attributes[name] == "" {
			return u, "The attribute " + name + " is verified and missing.", nil
		}
	}
	u.Status = string(api.UserStatusTypeRESET_REQUIRED)
	markUnverified(&u)
	if mfa == "true" && p.Settings.MFA.SMS && u.Attributes[loginPhone] != "" {
		u.MFA.Enabled = append(u.MFA.Enabled, mfaSMS)
	}
	return u, "", nil
}

// normalise turns the fields of a line into attribute values: dates are written
// otherwise in a file, and TRUE is as good as true.
func (p *Pool) normalise(values map[string]string) (why string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if a, ok := p.attribute(name); ok && a.AttributeDataType == api.AttributeDataTypeBoolean {
			values[name] = strings.ToLower(values[name])
		}
	}
	if day := values["birthdate"]; day != "" {
		at, err := time.Parse("01/02/2006", day)
		if err != nil {
			return "The birthdate is not in the format mm/dd/yyyy."
		}
		values["birthdate"] = at.Format(time.DateOnly)
	}
	return ""
}

// mfaFault compares the field cognito:mfa_enabled with what the pool demands.
func (p *Pool) mfaFault(value string) string {
	const field = "The field cognito:mfa_enabled must be "
	mode := p.Settings.MFA.mode()
	switch {
	case value != "true" && value != "false":
		return field + "true or false."
	case mode == api.UserPoolMfaTypeON && value != "true":
		return field + "true: the user pool demands a second factor."
	case mode == api.UserPoolMfaTypeOFF && value != "false":
		return field + "false: the user pool has no second factors."
	}
	return ""
}

// oneLine is a refusal as a line of a log; "" when err is no refusal.
func oneLine(err error) string {
	if onlyOurs(err) != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// onlyOurs is err unless it is a refusal.
func onlyOurs(err error) error {
	if _, refused := asFault(err); refused {
		return nil
	}
	return err
}

// wrongPassword is what a wrong password is told. Who was imported has none that could be
// right; he is told to set one where that betrays nothing (developer guide, "Requiring
// imported users to reset their passwords").
func wrongPassword(c *Client, u *User) error {
	if u.Status == string(api.UserStatusTypeRESET_REQUIRED) && u.Verifier == nil && u.Hash == nil && !c.hidesUsers() {
		return refuse(passwordResetRequired, "Password reset required for the user")
	}
	return errWrongPassword()
}
