# The PostgreSQL server: 3 databases, for the web host alone.
printf "listen_addresses = '*'\n" >/etc/postgresql/15/main/conf.d/lab.conf
echo "host all all $NET.10/32 scram-sha-256" >>/etc/postgresql/15/main/pg_hba.conf
systemctl enable postgresql
systemctl restart postgresql@15-main
as_postgres() { su postgres -c 'psql -q -v ON_ERROR_STOP=1'; }
echo "CREATE ROLE fairlead LOGIN SUPERUSER PASSWORD '$MO_PG_MAINTENANCE_PASS'" | as_postgres
for name in idp grafana discourse; do
  password=MO_${name^^}_DB_PASS
  as_postgres <<SQL
CREATE ROLE svc_$name LOGIN PASSWORD '${!password}';
CREATE DATABASE mo_$name OWNER svc_$name;
\connect mo_$name
SET ROLE svc_$name;
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, town text);
CREATE TABLE entry (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person, amount numeric(9, 2), note text);
INSERT INTO person (name, town) SELECT 'person ' || n, 'town ' || n % 50 FROM generate_series(1, 2000) n;
INSERT INTO entry (person_id, amount, note) SELECT 1 + n % 2000, n / 7.0, repeat('x', 80) FROM generate_series(1, 10000) n;
CREATE VIEW large AS SELECT p.name, e.amount FROM entry e JOIN person p ON p.id = e.person_id WHERE e.amount > 500;
SQL
done
