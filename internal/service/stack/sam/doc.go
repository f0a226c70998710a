// Package sam expands templates of the Serverless Application Model into plain
// CloudFormation, as AWS's transform AWS::Serverless-2016-10-31 does: the same
// resources with the same logical ids, so that a stack looks alike on both.
//
// It knows functions and REST APIs with their events, authorizers, usage plans and
// gateway responses, and Globals. Every other serverless resource, event or property
// is refused with the place where it stands; nothing is dropped silently.
package sam
