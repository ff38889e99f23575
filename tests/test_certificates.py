"""Certificates, the names they are shown for, and authorities, in the Admin API."""

import uuid

import pytest

from support.certificates import certificate, digest, expired_authority, issued


def refused(answer, fields, message=None, status=400):
    assert answer.status == status, answer
    assert answer.json["code"] == 2 and answer.json["name"] == "schema violation"
    assert answer.json["fields"] == fields
    if message is not None:
        assert answer.json["message"] == message


def post(gateway, pair, **more):
    return gateway.admin("POST", "/certificates", json={"cert": pair.cert, "key": pair.key, **more})


def make(gateway, pair, **more):
    answer = post(gateway, pair, **more)
    assert answer.status == 201, answer
    return answer.json


def names(gateway):
    return sorted(row["name"] for row in gateway.admin("GET", "/snis").json["data"])


# -- certificates

def test_a_certificate_is_shown_with_every_field(gateway):
    pair = certificate()
    made = make(gateway, pair)
    assert made == {"id": made["id"], "created_at": made["created_at"], "updated_at": made["updated_at"], "cert": pair.cert,
                    "key": pair.key, "cert_alt": None, "key_alt": None, "tags": None, "snis": []}
    assert gateway.admin("GET", f"/certificates/{made['id']}").json == made
    assert gateway.admin("GET", "/certificates").json == {"data": [made], "next": None}


def test_a_certificate_may_have_its_chain_and_a_second_pair_of_another_type(gateway):
    leaf, authority, other = issued(), certificate("authority.test", ca=True), certificate(key="rsa")
    made = make(gateway, leaf, cert_alt=other.cert, key_alt=other.key)
    assert made["cert_alt"] == other.cert
    chained = gateway.admin("PATCH", f"/certificates/{made['id']}", json={"cert": leaf.cert + authority.cert})
    assert chained.status == 200 and chained.json["cert"] == leaf.cert + authority.cert


@pytest.mark.parametrize("content", ["json", "form", "multipart"])
def test_a_certificate_comes_in_every_kind_of_body(gateway, content):
    pair = certificate()
    if content == "json":
        answer = gateway.admin("POST", "/certificates", json={"cert": pair.cert, "key": pair.key, "snis": ["b.test", "a.test"]})
    elif content == "form":
        answer = gateway.admin("POST", "/certificates", form=[("cert", pair.cert), ("key", pair.key), ("snis[]", "b.test"), ("snis[]", "a.test")])
    else:
        parts = [("cert", pair.cert), ("key", pair.key), ("snis[1]", "b.test"), ("snis[2]", "a.test")]
        body = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts) + "--x--\r\n"
        answer = gateway.admin("POST", "/certificates", raw=(body, "multipart/form-data; boundary=x"))
    assert answer.status == 201, answer
    assert (answer.json["cert"], answer.json["key"], answer.json["snis"]) == (pair.cert, pair.key, ["a.test", "b.test"])


def test_what_is_missing_is_named(gateway):
    refused(gateway.admin("POST", "/certificates", json={}), {"cert": "required field missing", "key": "required field missing"},
            "2 schema violations (cert: required field missing; key: required field missing)")


def test_what_cannot_be_read_is_named_with_a_reason_that_shows_nothing_of_it(gateway):
    pair = certificate()
    answer = gateway.admin("POST", "/certificates", json={"cert": "secret", "key": "secret"})
    assert answer.status == 400 and set(answer.json["fields"]) == {"cert", "key"}
    assert answer.json["fields"]["cert"].startswith("invalid certificate: error:")
    assert answer.json["fields"]["key"].startswith("invalid key: error:")
    answer = gateway.admin("POST", "/certificates", json={"cert": pair.cert, "key": pair.key.replace("PRIVATE KEY", "PUBLIC KEY")})
    assert set(answer.json["fields"]) == {"key"}
    cut = gateway.admin("POST", "/certificates", json={"cert": pair.cert + pair.cert[:200], "key": pair.key})
    assert cut.status == 400 and cut.json["fields"]["cert"].startswith("invalid certificate: ")
    assert gateway.admin("GET", "/certificates").json["data"] == []


def test_keys_and_types_must_fit(gateway):
    one, other, rsa = certificate(), certificate(number=1), certificate(key="rsa")
    refused(gateway.admin("POST", "/certificates", json={"cert": one.cert, "key": other.key}), {"@entity": ["certificate does not match key"]},
            "schema violation (certificate does not match key)")
    refused(post(gateway, one, cert_alt=rsa.cert, key_alt=other.key), {"@entity": ["alternative certificate does not match key"]})
    refused(post(gateway, one, cert_alt=other.cert, key_alt=other.key),
            {"@entity": ["certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "
                         "the provided certificates were both of the same type"]})
    refused(post(gateway, one, cert_alt=rsa.cert), {"@entity": ["all or none of these fields must be set: 'cert_alt', 'key_alt'"]})


def test_a_change_that_leaves_certificate_and_key_apart_is_refused(gateway):
    one, other = certificate(), certificate(number=1)
    made = make(gateway, one, snis=["a.test"])
    path = f"/certificates/{made['id']}"
    refused(gateway.admin("PATCH", path, json={"cert": other.cert}), {"@entity": ["certificate does not match key"]})
    changed = gateway.admin("PATCH", path, json={"cert": other.cert, "key": other.key, "tags": ["t"]})
    assert changed.status == 200 and changed.json["cert"] == other.cert and changed.json["snis"] == ["a.test"]
    assert gateway.admin("GET", "/certificates?tags=t").json["data"] == [changed.json]


def test_keys_are_in_no_log(private):
    gateway = private(log_level="debug")
    pair = certificate()
    made = make(gateway, pair, snis=["a.test"])
    gateway.admin("PATCH", f"/certificates/{made['id']}", json={"key": certificate(number=1).key})
    gateway.restart()
    logs = gateway.log("output.log", "error.log", "admin_error.log", "admin_access.log")
    for key in (pair.key, certificate(number=1).key):
        assert not any(line in logs for line in key.splitlines()[1:-1])


# -- the names of a certificate

def test_names_are_rows_of_their_own(gateway):
    made = make(gateway, certificate(), snis=["b.test", "*.c.test", "a.*"])
    assert made["snis"] == ["*.c.test", "a.*", "b.test"]
    rows = gateway.admin("GET", "/snis").json["data"]
    assert all(row["certificate"] == {"id": made["id"]} for row in rows) and len(rows) == 3
    row = gateway.admin("GET", "/snis/b.test").json
    assert row == {"id": row["id"], "name": "b.test", "certificate": {"id": made["id"]}, "tags": None,
                   "created_at": row["created_at"], "updated_at": row["updated_at"]}
    assert gateway.admin("GET", f"/snis/{row['id']}").json == row
    below = gateway.admin("GET", f"/certificates/{made['id']}/snis").json["data"]
    assert sorted(each["name"] for each in below) == made["snis"]
    assert gateway.admin("GET", "/certificates/a.*/snis/b.test").json == row
    assert gateway.admin("GET", "/snis/b.test/certificate").status == 404


def test_a_name_given_twice_is_refused(gateway):
    refused(post(gateway, certificate(), snis=["b.test", "a.test", "b.test"]), {"snis": "b.test is duplicated"},
            "schema violation (snis: b.test is duplicated)")
    assert gateway.admin("GET", "/certificates").json["data"] == [] and names(gateway) == []


def test_a_name_of_another_certificate_is_refused_and_nothing_is_written(gateway):
    first = make(gateway, certificate(), snis=["a.test"])
    second = make(gateway, certificate(number=1), snis=["b.test"])
    why = {"snis": f"a.test already associated with existing certificate '{first['id']}'"}
    refused(post(gateway, certificate(), snis=["c.test", "a.test"]), why)
    refused(gateway.admin("PATCH", f"/certificates/{second['id']}", json={"snis": ["c.test", "a.test"]}), why)
    refused(gateway.admin("PUT", f"/certificates/{second['id']}", json={"cert": second["cert"], "key": second["key"], "snis": ["a.test"]}), why)
    assert names(gateway) == ["a.test", "b.test"]


@pytest.mark.parametrize("name, why", [
    ("10.0.0.1", "must not be an IP"), ("::1", "must not be an IP"), ("a.test:443", "must not have a port"), ("a b", "invalid value: a b"),
    ("a.*.test", "wildcard must be leftmost or rightmost character"), ("*.a.*", "only one wildcard must be specified")])
def test_what_is_no_server_name_is_refused(gateway, name, why):
    made = make(gateway, certificate())
    refused(post(gateway, certificate(), snis=["a.test", name]), {"snis": [None, why]})
    refused(gateway.admin("POST", "/snis", json={"name": name, "certificate": {"id": made["id"]}}), {"name": why})
    assert gateway.admin("POST", "/snis", json={"name": "*", "certificate": {"id": made["id"]}}).status == 201


def test_a_change_keeps_names_unless_it_names_them(gateway):
    made = make(gateway, certificate(), snis=["a.test", "b.test"])
    path = f"/certificates/{made['id']}"
    kept = gateway.admin("GET", "/snis/b.test").json
    assert gateway.admin("PATCH", path, json={"tags": ["x"]}).json["snis"] == ["a.test", "b.test"]
    assert gateway.admin("PATCH", path, json={"snis": ["c.test", "b.test"]}).json["snis"] == ["b.test", "c.test"]
    assert gateway.admin("GET", "/snis/b.test").json == kept  # not made anew
    assert names(gateway) == ["b.test", "c.test"]
    assert gateway.admin("PATCH", path, json={"snis": None}).json["snis"] == []
    assert names(gateway) == []


def test_replacing_without_names_takes_them_away(gateway):
    pair = certificate()
    made = make(gateway, pair, snis=["a.test"])
    answer = gateway.admin("PUT", f"/certificates/{made['id']}", json={"cert": pair.cert, "key": pair.key})
    assert answer.status == 200 and answer.json["snis"] == [] and names(gateway) == []
    answer = gateway.admin("PUT", f"/certificates/{made['id']}", json={"cert": pair.cert, "key": pair.key, "snis": ["b.test"]})
    assert answer.json["snis"] == ["b.test"] and names(gateway) == ["b.test"]


def test_a_certificate_goes_by_its_names_too(gateway):
    pair = certificate()
    made = make(gateway, pair, snis=["a.test", "*.b.test"])
    for name in made["snis"]:
        assert gateway.admin("GET", f"/certificates/{name}").json == made
    assert gateway.admin("PATCH", "/certificates/a.test", json={"tags": ["t"]}).json["tags"] == ["t"]
    replaced = gateway.admin("PUT", "/certificates/a.test", json={"cert": pair.cert, "key": pair.key, "snis": ["a.test"]})
    assert replaced.status == 200 and replaced.json["id"] == made["id"] and replaced.json["snis"] == ["a.test"]
    assert gateway.admin("DELETE", "/certificates/a.test").status == 204
    assert gateway.admin("GET", "/certificates").json["data"] == []


def test_a_name_that_nobody_has_is_not_found_but_may_be_put(gateway):
    pair = certificate()
    for method, body in [("GET", None), ("PATCH", {"tags": ["t"]}), ("DELETE", None)]:
        answer = gateway.admin(method, "/certificates/a.test", json=body)
        assert answer.status == 404 and answer.json == {"message": "SNI not found"}, (method, answer)
    assert gateway.admin("GET", "/certificates/a.test/snis").status == 404
    made = gateway.admin("PUT", "/certificates/a.test", json={"cert": pair.cert, "key": pair.key, "snis": ["b.test"]})
    assert made.status == 200 and made.json["snis"] == ["a.test", "b.test"]
    assert gateway.admin("GET", f"/certificates/{made.json['id']}").json == made.json


def test_a_certificate_that_is_not_there(gateway):
    missing = str(uuid.uuid4())
    for method, body in [("GET", None), ("PATCH", {"tags": ["t"]})]:
        answer = gateway.admin(method, f"/certificates/{missing}", json=body)
        assert answer.status == 404 and answer.json["code"] == 6
        assert answer.json["message"] == 'could not find the entity with primary key \'{id="%s"}\'' % missing
    assert gateway.admin("DELETE", f"/certificates/{missing}").status == 204
    assert gateway.admin("GET", f"/certificates/{missing}/snis").json == {"message": "Not found"}


def test_names_go_with_their_certificate(gateway):
    made = make(gateway, certificate(), snis=["a.test", "b.test"])
    assert gateway.admin("DELETE", f"/certificates/{made['id']}").status == 204
    assert names(gateway) == []


def test_a_name_needs_a_certificate_and_is_unique(gateway):
    first, second = make(gateway, certificate()), make(gateway, certificate(number=1))
    refused(gateway.admin("POST", "/snis", json={"name": "a.test"}), {"certificate": "required field missing"})
    missing = {"id": str(uuid.uuid4())}
    answer = gateway.admin("POST", "/snis", json={"name": "a.test", "certificate": missing})
    assert answer.status == 400 and answer.json["code"] == 4
    assert answer.json["message"] == "the foreign key '{id=\"%s\"}' does not reference an existing 'certificates' entity." % missing["id"]
    assert gateway.admin("POST", f"/certificates/{first['id']}/snis", json={"name": "a.test"}).status == 201
    taken = gateway.admin("POST", "/snis", json={"name": "a.test", "certificate": {"id": second["id"]}})
    assert taken.status == 409 and taken.json["code"] == 5 and taken.json["fields"] == {"name": "a.test"}
    moved = gateway.admin("PATCH", "/snis/a.test", json={"certificate": {"id": second["id"]}})
    assert moved.status == 200
    assert gateway.admin("GET", f"/certificates/{second['id']}").json["snis"] == ["a.test"]
    assert gateway.admin("GET", f"/certificates/{first['id']}").json["snis"] == []


def test_names_in_one_text_as_older_clients_send_them(gateway):
    pair = certificate()
    made = gateway.admin("POST", "/certificates", form={"cert": pair.cert, "key": pair.key, "snis": "b.test, a.test"})
    assert made.status == 201 and made.json["snis"] == ["a.test", "b.test"]


def test_many_names_come_back_whole(gateway):
    wanted = sorted(f"n{i}.test" for i in range(1200))
    made = make(gateway, certificate(), snis=wanted)
    assert made["snis"] == wanted
    assert gateway.admin("GET", f"/certificates/{made['id']}").json["snis"] == wanted


# -- authorities

def test_an_authority_is_kept_with_its_digest(gateway):
    authority = certificate("authority.test", ca=True).cert
    made = gateway.create("/ca_certificates", cert=authority, cert_digest="mine", tags=["t"])
    assert made == {"id": made["id"], "created_at": made["created_at"], "updated_at": made["updated_at"], "cert": authority,
                    "cert_digest": digest(authority), "tags": ["t"]}
    taken = gateway.admin("POST", "/ca_certificates", json={"cert": authority})
    assert taken.status == 409 and taken.json["fields"] == {"cert_digest": digest(authority)}
    other = certificate("other.test", ca=True).cert
    changed = gateway.admin("PATCH", f"/ca_certificates/{made['id']}", json={"cert": other, "cert_digest": "mine"})
    assert changed.status == 200 and changed.json["cert_digest"] == digest(other)
    kept = gateway.admin("PATCH", f"/ca_certificates/{made['id']}", json={"cert_digest": "mine"})
    assert kept.status == 200 and kept.json["cert_digest"] == digest(other)
    assert gateway.admin("DELETE", f"/ca_certificates/{made['id']}").status == 204


def test_what_is_no_authority_is_refused(gateway):
    authority = certificate("authority.test", ca=True).cert

    def why(cert, complaint):
        refused(gateway.admin("POST", "/ca_certificates", json={"cert": cert}), {"@entity": [complaint]}, f"schema violation ({complaint})")

    why(authority + certificate("other.test", ca=True).cert, "please submit only one certificate at a time")
    why(expired_authority(), 'certificate expired, "Not After" time is in the past')
    why(certificate().cert, 'certificate does not appear to be a CA because it is missing the "CA" basic constraint')
    assert gateway.admin("POST", "/ca_certificates", json={"cert": "x"}).json["fields"]["cert"].startswith("invalid certificate: ")
    refused(gateway.admin("POST", "/ca_certificates", json={}), {"cert": "required field missing"})
    assert gateway.admin("GET", "/ca_certificates/name").json["code"] == 1


# -- services

TLS = {"url": "https://a.test", "tls_verify": True, "tls_verify_depth": 3}


def test_a_service_names_its_certificate_and_its_authorities(gateway):
    client = make(gateway, certificate())
    authority = gateway.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    service = gateway.create("/services", client_certificate={"id": client["id"]}, ca_certificates=[authority["id"]], **TLS)
    assert service["client_certificate"] == {"id": client["id"]} and service["ca_certificates"] == [authority["id"]]
    assert gateway.admin("GET", f"/services/{service['id']}/client_certificate").json == client
    assert gateway.admin("GET", f"/certificates/{client['id']}/services").json["data"] == [service]
    assert gateway.admin("GET", f"/certificates/{client['id']}/services/{service['id']}").json == service

    answer = gateway.admin("DELETE", f"/certificates/{client['id']}")
    assert answer.status == 400 and answer.json["code"] == 4
    assert answer.json["message"] == "an existing 'services' entity references this 'certificates' entity"
    assert answer.json["fields"] == {"@referenced_by": "services"}
    answer = gateway.admin("DELETE", f"/ca_certificates/{authority['id']}")
    assert answer.status == 400 and (answer.json["code"], answer.json["name"]) == (19, "referenced by others")
    assert answer.json["message"] == f"ca certificate {authority['id']} is still referenced by services (id = {service['id']})"

    gateway.admin("PATCH", f"/services/{service['id']}", json={"client_certificate": None, "ca_certificates": None})
    assert gateway.admin("DELETE", f"/certificates/{client['id']}").status == 204
    assert gateway.admin("DELETE", f"/ca_certificates/{authority['id']}").status == 204


def test_a_refused_deletion_leaves_the_names(gateway):
    client = make(gateway, certificate(), snis=["a.test"])
    gateway.create("/services", client_certificate={"id": client["id"]}, **TLS)
    assert gateway.admin("DELETE", f"/certificates/{client['id']}").status == 400
    assert gateway.admin("GET", f"/certificates/{client['id']}").json == client


def test_a_service_cannot_name_a_certificate_that_is_not_there(gateway):
    missing = {"id": str(uuid.uuid4())}
    answer = gateway.admin("POST", "/services", json={"client_certificate": missing, **TLS})
    assert answer.status == 400 and answer.json["code"] == 4 and answer.json["fields"] == {"client_certificate": missing}


def test_a_certificate_is_made_and_named_in_one_request(gateway):
    service, pair = gateway.create("/services", url="https://a.test"), certificate()
    made = gateway.admin("PUT", f"/services/{service['id']}/client_certificate", json={"cert": pair.cert, "key": pair.key, "snis": ["a.test"]})
    assert made.status == 200 and made.json["snis"] == ["a.test"]
    assert gateway.admin("GET", f"/services/{service['id']}").json["client_certificate"] == {"id": made.json["id"]}


@pytest.mark.parametrize("protocol", ["http", "tcp", "grpc", "grpcs"])
def test_services_that_are_not_https_or_tls_have_no_such_fields(gateway, protocol):
    client = make(gateway, certificate())
    given = {"client_certificate": {"id": client["id"]}, "tls_verify": True, "tls_verify_depth": 1, "ca_certificates": [str(uuid.uuid4())]}
    for field, value in given.items():
        refused(gateway.admin("POST", "/services", json={"host": "a.test", "protocol": protocol, field: value}),
                {"@entity": ["failed conditional validation given value of field 'protocol'"], field: "value must be null"})


# -- schemas and the dump

def test_schemas_tell_what_clients_read_from_them(gateway):
    fields = {name: field for each in gateway.admin("GET", "/schemas/certificates").json["fields"] for name, field in each.items()}
    assert fields["key"]["encrypted"] and fields["key"]["referenceable"] and fields["key"]["required"]
    assert fields["snis"]["transient"] and fields["snis"]["type"] == "array"
    fields = {name: field for each in gateway.admin("GET", "/schemas/snis").json["fields"] for name, field in each.items()}
    assert fields["name"]["unique"] and fields["name"]["unique_across_ws"]
    assert fields["certificate"]["reference"] == "certificates" and "on_delete" not in fields["certificate"]
    assert gateway.admin("GET", "/schemas/ca_certificates").status == 200
    checked = gateway.admin("POST", "/schemas/certificates/validate", json={"cert": certificate().cert, "key": certificate(number=1).key})
    refused(checked, {"@entity": ["certificate does not match key"]})


def test_they_are_there_after_a_restart(private):
    gateway = private()
    made = make(gateway, certificate(), snis=["a.test"])
    authority = gateway.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    gateway.restart()
    assert gateway.admin("GET", "/certificates").json["data"] == [made]
    assert gateway.admin("GET", "/ca_certificates").json["data"] == [authority]
